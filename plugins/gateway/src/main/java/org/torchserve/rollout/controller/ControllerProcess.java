package org.torchserve.rollout.controller;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.pytorch.serve.util.ConfigManager;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.torchserve.rollout.gateway.GatewayConfig;

/** The embedded controller: a child process of TorchServe, started again when it dies, stopped when TorchServe stops. */
public final class ControllerProcess implements Runnable {
    private static final Logger logger = LoggerFactory.getLogger(ControllerProcess.class);
    private static final Logger output = LoggerFactory.getLogger("org.torchserve.rollout.controller.output");
    private static final String MODULE = "torchserve_rollout";
    private static final int MISSING = 3;
    private static final String PROBE =
            "import importlib.util, sys; sys.exit(0 if importlib.util.find_spec('" + MODULE + "') else " + MISSING + ")";
    private static final long STOP_S = 10;

    private final String python;
    private final List<String> command;
    private final Backoff backoff = new Backoff();
    private Process child;
    private boolean stopping;

    private ControllerProcess(String python, List<String> command) {
        this.python = python;
        this.command = command;
    }

    /** Starts and supervises the controller if config.properties says {@code rollout_controller=embedded}, the default. */
    public static void startIfEmbedded() {
        String mode = GatewayConfig.controller();
        if (!mode.equals("embedded")) {
            if (!mode.equals("external") && !mode.equals("off")) {
                logger.error("rollout_controller is {}, not embedded, external or off; no controller is started", mode);
            }
            return;
        }
        String python = ConfigManager.getInstance().getPythonExecutable();
        ControllerProcess controller = new ControllerProcess(python, command(python, GatewayConfig.configFile()));
        Thread thread = new Thread(controller, "rollout-controller");
        thread.setDaemon(true);
        thread.start();
        Runtime.getRuntime().addShutdownHook(new Thread(controller::stop, "rollout-stop-controller"));
    }

    private static List<String> command(String python, Path configFile) {
        List<String> command = new ArrayList<>(List.of(python, "-m", MODULE, "serve"));
        if (configFile != null) {
            command.addAll(List.of("--ts-config", configFile.toString()));
        }
        // A JVM that is killed cannot stop its child: the child looks after this process by itself.
        command.addAll(List.of("--parent-pid", Long.toString(ProcessHandle.current().pid())));
        return command;
    }

    @Override
    public void run() {
        try {
            if (new ProcessBuilder(python, "-c", PROBE).start().waitFor() == MISSING) {
                logger.error(
                        "Rollout controller not started: {} has no module {}. Run '{} -m pip install torchserve-rollout',"
                                + " or set rollout_controller=external or off in config.properties.",
                        python,
                        MODULE,
                        python);
                return;
            }
            while (true) {
                long beginNanos = System.nanoTime();
                if (!start()) {
                    return;
                }
                pipeOutput();
                int exitCode = child.waitFor();
                if (isStopping()) {
                    return;
                }
                Duration wait = backoff.after(Duration.ofNanos(System.nanoTime() - beginNanos));
                logger.error(
                        "Rollout controller ended with exit code {}; next start in {} s. Running rollouts go back to stable"
                                + " when their lease runs out.",
                        exitCode,
                        wait.toSeconds());
                Thread.sleep(wait.toMillis());
            }
        } catch (IOException e) {
            logger.error("Rollout controller cannot be started with {}: {}", command, e.getMessage());
        } catch (InterruptedException shutdown) {
            Thread.currentThread().interrupt();
        }
    }

    private synchronized boolean start() throws IOException {
        if (!stopping) {
            child = new ProcessBuilder(command).redirectErrorStream(true).start();
            logger.info("Rollout controller started, process {}", child.pid());
        }
        return !stopping;
    }

    private void pipeOutput() throws IOException {
        try (BufferedReader lines = child.inputReader(StandardCharsets.UTF_8)) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                output.info(line);
            }
        } catch (IOException closed) {
            // the child was stopped while we read; its exit code tells the rest
        }
    }

    private synchronized boolean isStopping() {
        return stopping;
    }

    private void stop() {
        Process running;
        synchronized (this) {
            stopping = true;
            running = child;
        }
        if (running == null || !running.isAlive()) {
            return;
        }
        running.destroy();
        try {
            if (!running.waitFor(STOP_S, TimeUnit.SECONDS)) {
                running.destroyForcibly();
            }
        } catch (InterruptedException e) {
            running.destroyForcibly();
        }
    }
}
