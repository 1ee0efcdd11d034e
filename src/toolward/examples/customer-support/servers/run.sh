#!/bin/sh
# The example's own servers in the foreground, for who made a copy: mail over SMTP and IMAP, and a door to it in MCP.
# Makes the databases anew.
set -eu
here=@HERE@
cd "$here"
[ -d .venv ] || { python3 -m venv .venv && .venv/bin/pip install -q -r servers/requirements.txt; }
for name in shop customers; do
  mkdir -p data/$name
  rm -f data/$name/$name.db
  .venv/bin/python -c "import pathlib, sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(pathlib.Path(sys.argv[2]).read_text())" \
    data/$name/$name.db data/$name.sql
done
mkdir -p mailroom
trap 'kill 0' EXIT
.venv/bin/python servers/mailroom.py 127.0.0.1 2525 mailroom &
.venv/bin/pymap --host 127.0.0.1 --port 2143 --no-tls maildir mailroom &
set -a
. servers/mail.env
set +a
.venv/bin/mcp-email-server streamable-http --host 127.0.0.1 --port @MAIL_PORT@
