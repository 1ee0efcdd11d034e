"""What people do with a ward: the desk's verbs, export and verification of the record."""
