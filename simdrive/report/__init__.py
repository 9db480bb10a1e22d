"""What people look at: tables and videos made from run folders."""
