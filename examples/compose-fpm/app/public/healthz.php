<?php
// Asked by FastCGI, without nginx: cutover's readiness check and the engine's health check.
require __DIR__ . '/../src/reply.php';
getenv('FAULT') === 'error' ? reply(500, 'not well') : reply(200, 'ok');
