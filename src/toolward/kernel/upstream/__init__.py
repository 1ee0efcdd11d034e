"""What a server says or asks for by itself."""
