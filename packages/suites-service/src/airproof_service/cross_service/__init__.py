"""What services ask of each other before they answer, and what they say of themselves."""
