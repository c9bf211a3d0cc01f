"""What an engineer would write by hand: FastAPI, Redis, arq."""
