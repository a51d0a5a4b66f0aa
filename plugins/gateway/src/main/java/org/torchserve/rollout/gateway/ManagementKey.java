package org.torchserve.rollout.gateway;

import com.google.gson.JsonParser;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.pytorch.serve.util.TokenAuthorization;

/** TorchServe's management key. Read each time: TorchServe replaces it on request and when it starts. */
public final class ManagementKey {
    private ManagementKey() {}

    /** The key, or null if token authorization is off. */
    public static String read() throws IOException {
        if (!TokenAuthorization.isEnabled()) {
            return null;
        }
        Path file = Path.of(System.getProperty("user.dir"), "key_file.json");
        return JsonParser.parseString(Files.readString(file))
                .getAsJsonObject()
                .getAsJsonObject("management")
                .get("key")
                .getAsString();
    }
}
