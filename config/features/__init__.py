"""Feature views as their documents describe them: who owns a view, what is in it, how old it may be."""
