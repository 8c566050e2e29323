"""Records its visits in a file of SQLite, as the example `sqlite-service` does."""

import sqlite3
import sys
import time

from healthboard import healthcheck

database = sqlite3.connect(sys.argv[1])
database.execute("CREATE TABLE visits (number INTEGER)")
number = 0
while True:
    number += 1
    with healthcheck("database"), database:
        database.execute("INSERT INTO visits VALUES (?)", (number,))
    print("visit", number, flush=True)
    time.sleep(0.5)
