"""What a subscriber sees of a call: the view, its text, and how a new text reaches the chat. Pure."""
