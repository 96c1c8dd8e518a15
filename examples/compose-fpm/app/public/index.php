<?php
// The point of sale, as far as a deployment is concerned: every answer says who gave it.
declare(strict_types=1);

require __DIR__ . '/../src/reply.php';
require __DIR__ . '/../src/events.php';
require __DIR__ . '/../src/orders.php';

if (getenv('FAULT') === 'error') {
    reply(500, 'the schema is not the one this release knows');
    return;
}
$method = $_SERVER['REQUEST_METHOD'];
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
match (true) {
    $path === '/' => reply(200, 'pos release ' . RELEASE . ' instance ' . gethostname()),
    $path === '/healthz' => reply(200, 'ok'),
    $path === '/events' => events((int) ($_GET['every'] ?? 1000), (int) ($_GET['count'] ?? 1000)),
    $path === '/orders' && $method === 'POST' => order(),
    $path === '/upload' && ($method === 'POST' || $method === 'PUT') => upload(),
    $path === '/slow' => slow((int) ($_GET['ms'] ?? 1000)),
    default => reply(404, 'no such page'),
};
