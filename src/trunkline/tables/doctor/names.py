"""Names of columns, and what they promise."""

import re

ID = re.compile(r"(^|_|\b)(ids?|IDs?|Ids?)$|[a-z]I[dD]s?$|(^|_)(uuid|guid|hash)($|_)", re.ASCII)
CODE = re.compile(
    r"(^|_|\s)(zip|zipcode|postcode|postal|plz|phone|telephone|sku|ean|isbn|gtin|barcode|iban)($|_|\s|code)", re.I
)
TIME = re.compile(r"(time|date|stamp|epoch|unix|moment|(^|_)(ts|day|when|created|updated|seen)|_at)($|_|\d)", re.I)
INDEX = re.compile(r"|unnamed: ?\d+|_duplicated_\d+|index|row_?(number|nr|num|id)?|__index_level_\d+__", re.I)
QUANTITY = re.compile(
    r"(^|_|\s)(age|amount|balance|budget|cents|clicks|cost|count|days?|distance|duration|dwell|fee|height|hours?|income|"
    r"length|minutes?|months?|n|num|number|orders|price|qty|quantity|rank|rating|revenue|salary|sales|score|seconds?|"
    r"size|speed|spent|sum|total|value|views|visits|weeks?|weight|width|years?)($|_|\s)",
    re.I,
)
"""Of whole numbers that are amounts, whatever they look like."""
