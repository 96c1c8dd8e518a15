<?php
declare(strict_types=1);

/** Takes an order: one line of its id in the ledger that all instances share, for each time that it arrives. */
function order(): void
{
    $sum = sum();
    $id = $_SERVER['HTTP_X_REQUEST_ID'] ?? '';
    $ledger = getenv('LEDGER');
    if ($ledger && $id !== '' && !str_contains($id, ' ')) {
        // One write to a file opened for appending, which the kernel does not mix with the writes of others.
        if (file_put_contents($ledger, $id . ' ' . RELEASE . "\n", FILE_APPEND) === false) {
            reply(507, 'could not write the ledger');
            return;
        }
    }
    acknowledge($sum);
}

function upload(): void
{
    acknowledge(sum());
}

/** Length and checksum of the body as it arrived. */
function sum(): array
{
    $body = fopen('php://input', 'rb');
    $crc = hash_init('crc32b');
    $length = hash_update_stream($crc, $body);
    return [$length, hash_final($crc)];
}

function acknowledge(array $sum): void
{
    [$length, $crc] = $sum;
    header("X-Sample-Body: $length:$crc");
    reply(200, (string) $length);
}
