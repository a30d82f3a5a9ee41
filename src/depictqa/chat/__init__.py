"""Models behind the chat-completions API: asked at a steady pace, and for nothing twice."""
