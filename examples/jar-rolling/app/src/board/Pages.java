package board;

import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.zip.CRC32;

/** The pages. Every answer says which service, release and instance gave it, and to which request. */
final class Pages implements HttpHandler {
    private final Release release;
    private final InFlight inFlight;
    private final String instance;
    private final String ledger = System.getenv("LEDGER");

    Pages(Release release, InFlight inFlight) throws IOException {
        this.release = release;
        this.inFlight = inFlight;
        this.instance = InetAddress.getLocalHost().getHostName() + "-" + ProcessHandle.current().pid();
    }

    @Override
    public void handle(HttpExchange exchange) throws IOException {
        inFlight.begin();
        try (exchange) {
            sign(exchange);
            answer(exchange);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        } finally {
            inFlight.done();
        }
    }

    private void answer(HttpExchange exchange) throws IOException, InterruptedException {
        String path = exchange.getRequestURI().getPath();
        switch (path) {
            case "/monitoring/health" -> health(exchange);
            case "/orders", "/upload" -> take(exchange, path.equals("/orders"));
            case "/events" -> events(exchange, number(exchange, "every", 1000), number(exchange, "count", 1000));
            case "/slow" -> {
                Thread.sleep(number(exchange, "ms", 1000));
                reply(exchange, 200, "slow, but whole");
            }
            case "/" -> reply(exchange, release.fault().equals("error") ? 500 : 200,
                    "board release " + release.number() + " instance " + instance);
            default -> reply(exchange, 404, "no such page");
        }
    }

    private void health(HttpExchange exchange) throws IOException {
        boolean well = release.fault().equals("none");
        reply(exchange, well ? 200 : 503, well ? "{\"status\":\"UP\"}" : "{\"status\":\"DOWN\"}");
    }

    /** Takes a body. An order is written down once for each time that it arrives. */
    private void take(HttpExchange exchange, boolean isOrder) throws IOException {
        CRC32 crc = new CRC32();
        long length = 0;
        byte[] piece = new byte[16 * 1024];
        try (InputStream body = exchange.getRequestBody()) {
            for (int read; (read = body.read(piece)) >= 0; length += read) {
                crc.update(piece, 0, read);
            }
        }
        String id = exchange.getRequestHeaders().getFirst("X-Request-Id");
        if (isOrder && ledger != null && id != null) {
            // One write to a file opened for appending, which the kernel does not mix with the writes of others.
            Files.writeString(Path.of(ledger), id + " " + release.number() + "\n", StandardOpenOption.CREATE,
                    StandardOpenOption.APPEND);
        }
        exchange.getResponseHeaders().set("X-Sample-Body", String.format("%d:%08x", length, crc.getValue()));
        reply(exchange, 200, Long.toString(length));
    }

    /** A numbered event every so many milliseconds, and a farewell: after the last one, or when it is time to leave. */
    private void events(HttpExchange exchange, long every, long count) throws IOException, InterruptedException {
        exchange.getResponseHeaders().set("Content-Type", "text/event-stream");
        exchange.getResponseHeaders().set("Cache-Control", "no-cache");
        exchange.getResponseHeaders().set("X-Accel-Buffering", "no");
        exchange.sendResponseHeaders(200, 0);
        try (OutputStream out = exchange.getResponseBody()) {
            long begun = System.nanoTime();
            for (long number = 1; number <= count; number++) {
                write(out, "id: " + number + "\ndata: " + number + " " + release.number() + "\n\n");
                long due = begun + number * every * 1_000_000;
                if (inFlight.awaitEnd((due - System.nanoTime()) / 1_000_000)) {
                    break;
                }
            }
            write(out, "event: end\ndata: end\n\n");
        }
    }

    private void sign(HttpExchange exchange) {
        Headers headers = exchange.getResponseHeaders();
        headers.set("X-Sample-Service", System.getenv().getOrDefault("SERVICE", "sample"));
        headers.set("X-Sample-Release", release.number());
        headers.set("X-Sample-Instance", instance);
        String id = exchange.getRequestHeaders().getFirst("X-Request-Id");
        if (id != null) {
            headers.set("X-Request-Id", id);
        }
        if (inFlight.isEnding()) {
            headers.set("Connection", "close");
        }
    }

    private static void reply(HttpExchange exchange, int status, String text) throws IOException {
        byte[] body = (text + "\n").getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", text.startsWith("{") ? "application/json" : "text/plain");
        exchange.sendResponseHeaders(status, body.length);
        exchange.getResponseBody().write(body);
    }

    private static void write(OutputStream out, String text) throws IOException {
        out.write(text.getBytes(StandardCharsets.UTF_8));
        out.flush();
    }

    private static long number(HttpExchange exchange, String name, long otherwise) {
        String query = exchange.getRequestURI().getQuery();
        for (String pair : query == null ? new String[0] : query.split("&")) {
            if (pair.startsWith(name + "=") && pair.matches("[a-z]+=\\d{1,12}")) {
                return Long.parseLong(pair.substring(name.length() + 1));
            }
        }
        return otherwise;
    }
}
