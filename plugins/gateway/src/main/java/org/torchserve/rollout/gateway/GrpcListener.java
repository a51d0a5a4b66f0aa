package org.torchserve.rollout.gateway;

import io.grpc.BindableService;
import io.grpc.Server;
import io.grpc.ServerInterceptors;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.concurrent.TimeUnit;
import org.pytorch.serve.grpcimpl.GRPCInterceptor;
import org.pytorch.serve.util.ConfigManager;
import org.pytorch.serve.util.ConnectorType;

/** The public gRPC listener: set up as TorchServe sets up its own, token check and certificates included. */
final class GrpcListener {
    private GrpcListener() {}

    /** Opens the listener at {@code host:port} and returns once it accepts connections. */
    static Server open(String address, Inferences inferences) throws IOException {
        ConfigManager config = ConfigManager.getInstance();
        ConnectorType inference = ConnectorType.INFERENCE_CONNECTOR;
        BindableService service = new GrpcInference(inferences);
        NettyServerBuilder builder =
                NettyServerBuilder.forAddress(socketAddress(address))
                        .maxConnectionAge(config.getGRPCMaxConnectionAge(inference), TimeUnit.MILLISECONDS)
                        .maxConnectionAgeGrace(config.getGRPCMaxConnectionAgeGrace(inference), TimeUnit.MILLISECONDS)
                        .maxInboundMessageSize(config.getMaxRequestSize())
                        // The last one is asked first: the token check.
                        .addService(
                                ServerInterceptors.intercept(
                                        service, new GrpcHeaders.Interceptor(), new GRPCInterceptor(inference)));
        if (config.isGRPCSSLEnabled()) {
            builder.useTransportSecurity(new File(config.getCertificateFile()), new File(config.getPrivateKeyFile()));
        }
        return builder.build().start();
    }

    private static InetSocketAddress socketAddress(String address) {
        int colon = address.lastIndexOf(':');
        try {
            String host = address.substring(0, Math.max(0, colon)).replaceAll("^\\[|\\]$", "");
            if (!host.isEmpty() && !host.contains("/")) {
                return new InetSocketAddress(host, Integer.parseInt(address.substring(colon + 1)));
            }
        } catch (IllegalArgumentException noPort) {
            // said below, together with the addresses that have no host
        }
        throw new IllegalArgumentException("rollout_grpc_gateway_address is " + address + ", not host:port");
    }
}
