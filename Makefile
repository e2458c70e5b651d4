.PHONY: check test format lock

check: ## what is judged without running the program
	@scripts/check

test: ## the checks and all tests, with branch coverage
	@scripts/test

format: ## what the checks can mend by themselves
	@.venv/bin/ruff format
	@.venv/bin/ruff check --fix

lock: ## newest versions of everything into requirements/
	@scripts/lock --upgrade
