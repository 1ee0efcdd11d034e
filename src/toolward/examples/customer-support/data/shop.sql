CREATE TABLE orders(
  number TEXT PRIMARY KEY, customer INTEGER, item TEXT, total_cents INTEGER, state TEXT, ordered TEXT, note TEXT);
CREATE TABLE refunds(
  id INTEGER PRIMARY KEY, order_number TEXT REFERENCES orders(number), cents INTEGER, reason TEXT, state TEXT);
INSERT INTO orders VALUES
  ('1001', 1, 'storm lantern',    4900, 'shipped on 2026-11-23',  '2026-11-20', ''),
  ('1002', 2, 'tea light glass',  1900, 'delivered on 2026-11-19', '2026-11-15', 'ring twice'),
  ('1003', 3, 'ship lantern',    18000, 'lost in the post',        '2026-11-02', ''),
  ('1004', 4, 'lighthouse lamp', 75000, 'delivered on 2026-11-10', '2026-11-01', ''),
  ('1005', 5, 'garden lantern',   6900, 'packed',                  '2026-11-24', ''),
  ('1006', 6, 'wick, ten metres', 1200, 'delivered on 2026-11-21', '2026-11-18', ''),
  ('1007', 7, 'hurricane glass',  1250, 'delivered on 2026-11-22', '2026-11-19', '');
