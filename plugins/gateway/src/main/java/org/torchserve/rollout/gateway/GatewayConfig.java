package org.torchserve.rollout.gateway;

import java.nio.file.Path;
import org.pytorch.serve.util.ConfigManager;

/** The gateway's keys in config.properties. TorchServe keeps keys it does not know, and hands them out. */
public final class GatewayConfig {
    private static final String DEFAULT_DEADLINE_S = "120";
    private static final double MAX_DEADLINE_S = 1e6;

    private GatewayConfig() {}

    /** Where the gateway listens. */
    public static String gatewayAddress() {
        return get("rollout_gateway_address", "http://127.0.0.1:8080");
    }

    /** Where the gateway listens for gRPC. */
    public static String grpcGatewayAddress() {
        return get("rollout_grpc_gateway_address", "127.0.0.1:7070");
    }

    /** Whether each request is told in the access log. */
    public static boolean accessLog() {
        String value = get("rollout_access_log", "false");
        if (!value.equals("true") && !value.equals("false")) {
            throw new IllegalArgumentException("rollout_access_log is " + value + ", not true or false");
        }
        return value.equals("true");
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
        String key = "rollout_default_deadline_s";
        String value = get(key, DEFAULT_DEADLINE_S);
        try {
            double seconds = Double.parseDouble(value);
            if (seconds > 0 && seconds < MAX_DEADLINE_S) {
                return seconds;
            }
        } catch (NumberFormatException notANumber) {
            // said below, together with the numbers out of range
        }
        throw new IllegalArgumentException(key + " is " + value + ", not a number of seconds above 0");
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
}
