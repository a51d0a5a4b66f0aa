package org.torchserve.rollout.gateway;

import io.grpc.Server;
import io.netty.channel.Channel;
import io.netty.util.concurrent.DefaultThreadFactory;
import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.torchserve.rollout.controller.ControllerProcess;
import org.torchserve.rollout.routing.Exchanges;
import org.torchserve.rollout.routing.Mirror;
import org.torchserve.rollout.routing.PolicyBook;
import org.torchserve.rollout.routing.Router;

/** The gateway of this JVM: its parts put together, and its start and end. */
public final class Gateway {
    private static final Logger logger = LoggerFactory.getLogger(Gateway.class);
    private static final Gateway INSTANCE = new Gateway();
    private static final int CHECK_DEADLINES_MS = 10;
    private static final int CHECK_LOST_MS = 100;
    private static final int FORGET_S = 10;

    private final AtomicBoolean started = new AtomicBoolean();
    private final TorchServeVersions versions = new TorchServeVersions();
    private final PolicyBook policies = new PolicyBook(System::nanoTime);
    private final GatewayMetrics metrics = new GatewayMetrics();
    private final Router router =
            new Router(policies, versions, () -> ThreadLocalRandom.current().nextDouble(), System::nanoTime);
    private final Exchanges exchanges = new Exchanges(router, metrics, System::nanoTime);
    private final Mirror mirror =
            new Mirror(
                    exchanges,
                    () -> ThreadLocalRandom.current().nextDouble(),
                    System::nanoTime,
                    System::currentTimeMillis);

    private Gateway() {}

    public static Gateway instance() {
        return INSTANCE;
    }

    public PolicyBook policies() {
        return policies;
    }

    public TorchServeVersions versions() {
        return versions;
    }

    public Exchanges exchanges() {
        return exchanges;
    }

    public Mirror mirror() {
        return mirror;
    }

    /** Starts the gateway as soon as TorchServe is up; only the first call counts, TorchServe makes each plugin twice. */
    public void startOnce() {
        if (started.compareAndSet(false, true)) {
            CommonPool.widen();
            Thread thread = new Thread(this::start, "rollout-start");
            thread.setDaemon(true);
            thread.start();
        }
    }

    private void start() {
        try {
            TorchServeStart.await();
        } catch (InterruptedException shutdown) {
            return;
        }
        metrics.register(CollectorRegistry.defaultRegistry);
        CollectorRegistry.defaultRegistry.register(
                new PolicyCollector(policies, exchanges, metrics, System::nanoTime));
        startHousekeeping();
        openListeners();
        ControllerProcess.startIfEmbedded();
    }

    private void openListeners() {
        Inferences inferences;
        try {
            inferences = new Inferences(router, mirror, GatewayConfig.defaultDeadlineS());
            if (GatewayConfig.accessLog()) {
                exchanges.logTo(AccessLog.open());
            }
        } catch (IllegalArgumentException e) {
            logger.error("Rollout gateway does not listen: {}. Mend it in config.properties and restart.", e.getMessage());
            return;
        }
        openHttp(inferences);
        openGrpc(inferences);
    }

    private void openHttp(Inferences inferences) {
        String address = GatewayConfig.gatewayAddress();
        try {
            Channel listener = GatewayListener.open(address, inferences);
            Runtime.getRuntime().addShutdownHook(new Thread(listener::close, "rollout-stop-listening"));
            logger.info("Rollout gateway listens on {}", address);
        } catch (GeneralSecurityException e) {
            logger.error(
                    "Rollout gateway cannot listen on {}: {}. Set keystore, or certificate_file and private_key_file, in"
                            + " config.properties and restart.",
                    address,
                    e.getMessage());
        } catch (IOException | IllegalArgumentException e) {
            logger.error(
                    "Rollout gateway cannot listen on {}: {}. Policies have no effect until this is mended. If TorchServe's"
                            + " own listener is there, move it (inference_address=http://127.0.0.1:8085) or the gateway"
                            + " (rollout_gateway_address) in config.properties and restart.",
                    address,
                    e.getMessage());
        }
    }

    private void openGrpc(Inferences inferences) {
        String address = GatewayConfig.grpcGatewayAddress();
        try {
            Server listener = GrpcListener.open(address, inferences);
            Runtime.getRuntime().addShutdownHook(new Thread(listener::shutdown, "rollout-stop-grpc"));
            logger.info("Rollout gateway listens for gRPC on {}", address);
        } catch (IOException | IllegalArgumentException e) {
            logger.error(
                    "Rollout gateway cannot listen for gRPC on {}: {}. gRPC requests there do not obey policies. If TorchServe's"
                            + " own listener is there, move it (grpc_inference_port=7075) or the gateway"
                            + " (rollout_grpc_gateway_address=host:port) in config.properties and restart.",
                    address,
                    e.getMessage());
        }
    }

    private void startHousekeeping() {
        ScheduledExecutorService housekeeping =
                Executors.newSingleThreadScheduledExecutor(new DefaultThreadFactory("rollout-housekeeping", true));
        housekeeping.scheduleWithFixedDelay(
                () -> guarded(exchanges::checkDeadlines),
                CHECK_DEADLINES_MS,
                CHECK_DEADLINES_MS,
                TimeUnit.MILLISECONDS);
        housekeeping.scheduleWithFixedDelay(
                () -> guarded(exchanges::checkLost), CHECK_LOST_MS, CHECK_LOST_MS, TimeUnit.MILLISECONDS);
        housekeeping.scheduleWithFixedDelay(
                () -> guarded(() -> metrics.forgetUnregistered(versions, policies)), FORGET_S, FORGET_S, TimeUnit.SECONDS);
        housekeeping.scheduleWithFixedDelay(
                () -> guarded(router::forgetIdleSequences), FORGET_S, FORGET_S, TimeUnit.SECONDS);
        housekeeping.scheduleWithFixedDelay(
                () -> guarded(mirror::forgetIdlePairs), FORGET_S, FORGET_S, TimeUnit.SECONDS);
    }

    /** The executor would silently stop repeating what once threw. */
    private static void guarded(Runnable action) {
        try {
            action.run();
        } catch (RuntimeException e) {
            logger.error("Rollout gateway housekeeping failed; it goes on", e);
        }
    }
}
