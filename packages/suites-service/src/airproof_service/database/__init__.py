"""What services promise of their use of databases."""
