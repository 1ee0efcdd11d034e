CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT, email TEXT, address TEXT, account TEXT);
INSERT INTO customers VALUES
  (1, 'Ana Sol',        'ana@example.org',     '4 Quay Street',   'DE89370400440532013000'),
  (2, 'Bo Lind',        'bo@example.net',      '12 Mill Lane',    'GB82WEST12345698765432'),
  (3, 'Cleo Marsh',     'cleo@example.org',    '7 Harbour Row',   'FR1420041010050500013M02606'),
  (4, 'Mallory Grey',   'mallory@elsewhere.example', '1 Nowhere', 'NL91ABNA0417164300'),
  (5, 'Dora Ito',       'dora@example.com',    '3-1 Minato',      'CH9300762011623852957'),
  (6, 'Emil Vogt',      'emil@example.org',    '22 Bell Yard',    'AT611904300234573201'),
  (7, 'Ewa Lis',        'ewa@example.org',     '9 Canal Walk',    'PL61109010140000071219812874');
