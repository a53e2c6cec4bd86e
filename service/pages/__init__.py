"""The pages that people see: server-rendered HTML whose plain JavaScript uses the public HTTP interface.

A new page is a template, a script of the same name and an entry in PAGES.

    router.py          the pages, their assets and the data that scripts start with
    api_reference.py   the OpenAPI description in words, for the page /docs
    templates/         one Jinja2 template for each page, and base.html around them
    static/            one JavaScript module for each thing, and a stylesheet for each page
"""
