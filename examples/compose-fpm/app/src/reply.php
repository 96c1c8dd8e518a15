<?php
declare(strict_types=1);

define('RELEASE', getenv('RELEASE') ?: '0');

/** The headers by which a load client tells lost, mixed up and misrouted answers apart. */
function sign(int $status): void
{
    http_response_code($status);
    header('X-Sample-Service: ' . (getenv('SERVICE') ?: 'sample'));
    header('X-Sample-Release: ' . RELEASE);
    header('X-Sample-Instance: ' . gethostname());
    if (isset($_SERVER['HTTP_X_REQUEST_ID'])) {
        header('X-Request-Id: ' . $_SERVER['HTTP_X_REQUEST_ID']);
    }
}

function reply(int $status, string $text): void
{
    sign($status);
    header('Content-Type: text/plain');
    header('Content-Length: ' . (strlen($text) + 1));
    echo $text, "\n";
}

function slow(int $ms): void
{
    usleep($ms * 1000);
    reply(200, "after $ms ms");
}
