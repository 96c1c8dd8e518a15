package board;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** How many requests are being answered, and whether it is time to leave. */
final class InFlight {
    private static final Duration GRACE = Duration.ofSeconds(30);

    private final CountDownLatch ending = new CountDownLatch(1);
    private int count;

    synchronized void begin() {
        count++;
    }

    synchronized void done() {
        count--;
        notifyAll();
    }

    boolean isEnding() {
        return ending.getCount() == 0;
    }

    /** Waits until it is time to leave, or for so long. True when it is time. */
    boolean awaitEnd(long millis) throws InterruptedException {
        return ending.await(millis, TimeUnit.MILLISECONDS);
    }

    /** It is time to leave: waits for the last answer, but not for ever. Whether nothing is left. */
    synchronized boolean end() {
        ending.countDown();
        long until = System.nanoTime() + GRACE.toNanos();
        try {
            for (long left; count > 0 && (left = (until - System.nanoTime()) / 1_000_000) > 0;) {
                wait(left);
            }
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
        return count == 0;
    }
}
