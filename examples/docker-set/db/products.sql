CREATE TABLE products (
    id INT PRIMARY KEY,
    name VARCHAR(80) NOT NULL,
    price DECIMAL(8, 2) NOT NULL
);
INSERT INTO products VALUES (1, 'kettle', 24.90), (2, 'teapot', 39.00), (3, 'cup', 6.50), (4, 'saucer', 4.20);
