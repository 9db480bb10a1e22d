"""Recorded traffic in the CommonRoad format: from XML to worlds."""
