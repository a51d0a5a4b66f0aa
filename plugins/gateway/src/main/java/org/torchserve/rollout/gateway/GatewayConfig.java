package org.torchserve.rollout.gateway;

import java.nio.file.Path;
import org.pytorch.serve.util.ConfigManager;

/** The gateway's keys in config.properties. TorchServe keeps keys it does not know, and hands them out. */
public final class GatewayConfig {
    private static final String DEFAULT_DEADLINE_S = "120";

    private GatewayConfig() {}

    /** Where the gateway listens. */
    public static String gatewayAddress() {
        return get("rollout_gateway_address", "http://127.0.0.1:8080");
    }

    /** Where the controller listens. */
    public static String controllerAddress() {
        return get("rollout_controller_address", "http://127.0.0.1:8083");
    }

    /** {@code embedded}, {@code external} or {@code off}. */
    public static String controller() {
        return get("rollout_controller", "embedded");
    }

    /** Seconds to the first byte where neither a policy nor a longer response_timeout of the model says otherwise. */
    public static double defaultDeadlineS() {
        return DefaultDeadline.SECONDS;
    }

    /** The configuration file TorchServe was started with, absolute, or null. */
    public static Path configFile() {
        String file = get("tsConfigFile", null);
        return file == null ? null : Path.of(file).toAbsolutePath();
    }

    private static String get(String key, String otherwise) {
        String value = ConfigManager.getInstance().getProperty(key, otherwise);
        return value == null ? null : value.trim();
    }

    /** Read once, when the first request needs it: the configuration does not change while TorchServe runs. */
    private static final class DefaultDeadline {
        private static final double SECONDS =
                Double.parseDouble(get("rollout_default_deadline_s", DEFAULT_DEADLINE_S));
    }
}
