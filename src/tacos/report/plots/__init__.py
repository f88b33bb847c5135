"""What the report and the local page show of a run: facts, and figures made of them.

Each module has pure functions: tables go in, plain values, a `Figure` or a `DataTable` come out. A
figure says in its caption what is to be seen, how many rows it rests on, and gives the same as a
table. Drawing takes some rows where there are too many; counting takes all of them.
"""
