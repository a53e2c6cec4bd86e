"""What people say of answers: kept, handed out to be annotated, and given back."""
