package org.torchserve.rollout.gateway;

import com.google.gson.JsonObject;
import java.time.Instant;
import java.util.Map;
import java.util.function.Consumer;
import org.apache.logging.log4j.Level;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.core.Appender;
import org.apache.logging.log4j.core.LoggerContext;
import org.apache.logging.log4j.core.appender.RollingFileAppender;
import org.apache.logging.log4j.core.appender.rolling.DefaultRolloverStrategy;
import org.apache.logging.log4j.core.appender.rolling.SizeBasedTriggeringPolicy;
import org.apache.logging.log4j.core.config.Configuration;
import org.apache.logging.log4j.core.config.LoggerConfig;
import org.apache.logging.log4j.core.layout.PatternLayout;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.torchserve.rollout.routing.Conclusion;

/** One line of JSON for each request, in {@code rollout_access.log} beside TorchServe's other logs; docs/gateway.md. */
final class AccessLog implements Consumer<Conclusion> {
    private static final String NAME = "rollout_access";
    private static final String FILE_SIZE = "100 MB";
    private static final String FILES = "5";
    private static final double NANOS_PER_S = 1e9;

    private final Logger lines;

    private AccessLog(Logger lines) {
        this.lines = lines;
    }

    /** Adds the log to TorchServe's logging, which knows how to write and roll files. */
    static AccessLog open() {
        LoggerContext context = (LoggerContext) LogManager.getContext(false);
        Configuration configuration = context.getConfiguration();
        // A logger of that name in the user's own log4j2.xml has the say.
        if (!configuration.getLoggers().containsKey(NAME)) {
            Appender file = file(configuration);
            file.start();
            configuration.addAppender(file);
            LoggerConfig logger = new LoggerConfig(NAME, Level.INFO, false);
            logger.addAppender(file, null, null);
            configuration.addLogger(NAME, logger);
            context.updateLoggers();
        }
        return new AccessLog(LoggerFactory.getLogger(NAME));
    }

    private static Appender file(Configuration configuration) {
        String folder = System.getenv().getOrDefault("LOG_LOCATION", "logs");
        return RollingFileAppender.newBuilder()
                .withFileName(folder + "/" + NAME + ".log")
                .withFilePattern(folder + "/" + NAME + ".%i.log.gz")
                .withPolicy(SizeBasedTriggeringPolicy.createPolicy(FILE_SIZE))
                .withStrategy(DefaultRolloverStrategy.newBuilder().withMax(FILES).withConfig(configuration).build())
                .setName(NAME)
                .setLayout(PatternLayout.newBuilder().withPattern("%m%n").withConfiguration(configuration).build())
                .setConfiguration(configuration)
                .build();
    }

    @Override
    public void accept(Conclusion conclusion) {
        lines.info(line(conclusion, Instant.now()));
    }

    static String line(Conclusion conclusion, Instant now) {
        JsonObject line = new JsonObject();
        line.addProperty("time", now.toString());
        line.addProperty("request_id", conclusion.requestId());
        line.addProperty("model", conclusion.route().model());
        line.addProperty("version", conclusion.route().version());
        line.addProperty("role", conclusion.route().role().label());
        line.addProperty("outcome", conclusion.outcome().label());
        line.addProperty("status", conclusion.status());
        line.addProperty("latency_s", conclusion.latencyNanos() / NANOS_PER_S);
        line.addProperty("attempts", conclusion.attempts());
        Map<String, String> headers = conclusion.last() == null ? null : conclusion.last().headers();
        if (headers != null) {
            // Where a handler may tell what it counted.
            addNumber(line, "prompt_tokens", headers.get("x-prompt-tokens"));
            addNumber(line, "generated_tokens", headers.get("x-generated-tokens"));
        }
        return line.toString();
    }

    private static void addNumber(JsonObject line, String name, String value) {
        if (value != null) {
            try {
                line.addProperty(name, Long.parseLong(value));
            } catch (NumberFormatException notANumber) {
                // a handler's own header of that name, with another meaning
            }
        }
    }
}
