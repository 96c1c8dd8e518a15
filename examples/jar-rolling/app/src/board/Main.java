package board;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;

/** The board: starts, takes requests, and leaves when it is told to, after the last answer. */
public final class Main {
    public static void main(String[] arguments) throws IOException {
        // An answer in two writes would wait for the other side's delayed acknowledgement.
        System.setProperty("sun.net.httpserver.nodelay", "true");
        // Longer than nginx keeps its idle connections to us, so that it is never us who close under its hands.
        System.setProperty("sun.net.httpserver.idleInterval", "75");
        System.setProperty("sun.net.httpserver.maxIdleConnections", "1000");

        Release release = Release.ofThisJar();
        if (release.fault().equals("exit")) {
            throw new IllegalStateException("no bean of type DataSource is configured for profile " + profile());
        }
        int port = Integer.getInteger("server.port", 8080);
        InFlight inFlight = new InFlight();
        HttpServer server = HttpServer.create(new InetSocketAddress(port), 1024);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/", new Pages(release, inFlight));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            boolean done = inFlight.end();
            System.out.println("board " + release.number() + " leaves, " + (done ? "nothing in hand" : "with requests in hand"));
        }));
        server.start();
        System.out.println("board " + release.number() + " (" + profile() + ") listens on " + port);
    }

    static String profile() {
        return System.getProperty("spring.profiles.active", "default");
    }
}
