"""Where the work of a run is done: processes of this machine, Ray, or jobs of a cluster; all with the same tables."""
