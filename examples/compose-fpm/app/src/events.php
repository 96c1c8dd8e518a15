<?php
declare(strict_types=1);

/** A numbered event every so many milliseconds, and a farewell after the last one. */
function events(int $every, int $count): void
{
    sign(200);
    header('Content-Type: text/event-stream');
    header('Cache-Control: no-cache');
    header('X-Accel-Buffering: no'); // nginx passes on what comes, as it comes
    set_time_limit(0);
    $begun = hrtime(true);
    for ($number = 1; $number <= $count; $number++) {
        echo "id: $number\ndata: $number ", RELEASE, "\n\n";
        flush();
        // From the beginning and not from now, so that a thousand seconds are a thousand seconds.
        $due = $begun + $number * $every * 1_000_000;
        usleep(max(0, intdiv($due - hrtime(true), 1000)));
    }
    echo "event: end\ndata: end\n\n";
}
