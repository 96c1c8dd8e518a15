package board;

import java.io.IOException;
import java.io.InputStream;
import java.util.jar.Manifest;

/** What the build wrote into the jar: its number, and what is wrong with it on purpose. */
record Release(String number, String fault) {
    static Release ofThisJar() throws IOException {
        try (InputStream in = Release.class.getResourceAsStream("/META-INF/MANIFEST.MF")) {
            Manifest manifest = new Manifest(in);
            return new Release(value(manifest, "Release", "0"), value(manifest, "Fault", "none"));
        }
    }

    private static String value(Manifest manifest, String name, String otherwise) {
        String value = manifest.getMainAttributes().getValue(name);
        return value == null || value.isBlank() ? otherwise : value.trim();
    }
}
