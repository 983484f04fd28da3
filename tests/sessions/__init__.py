"""Three jobs of a new user in tmux at 80x24, recorded: ``make sessions``."""
