"""What people see in a browser: the approval page. Every page has a JSON twin, and none needs a script.

`app` is the ASGI application, `pages` renders, `views` says what a page shows, and `shown` sees to it that
nobody is fooled by what an agent wrote.
"""
