package org.torchserve.rollout.gateway;

import io.netty.bootstrap.Bootstrap;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.EventLoopGroup;
import java.util.concurrent.TimeUnit;
import org.pytorch.serve.util.ConfigManager;
import org.pytorch.serve.util.Connector;
import org.pytorch.serve.util.ConnectorType;
import org.pytorch.serve.wlm.ModelManager;

/** Waits for TorchServe, which loads plugins before it has anything else. */
final class TorchServeStart {
    private static final long POLL_MS = 50;

    private TorchServeStart() {}

    /** Returns once models can be asked for and TorchServe's management listener, opened after the inference listener, accepts. */
    static void await() throws InterruptedException {
        while (ConfigManager.getInstance() == null || ModelManager.getInstance() == null) {
            Thread.sleep(POLL_MS);
        }
        EventLoopGroup group = Connector.newEventLoopGroup(1);
        try {
            while (!accepts(ConfigManager.getInstance().getListener(ConnectorType.MANAGEMENT_CONNECTOR), group)) {
                Thread.sleep(POLL_MS);
            }
        } finally {
            group.shutdownGracefully(0, 1, TimeUnit.SECONDS);
        }
    }

    private static boolean accepts(Connector connector, EventLoopGroup group) throws InterruptedException {
        ChannelFuture connected =
                new Bootstrap()
                        .group(group)
                        .channel(connector.getClientChannel())
                        .handler(new ChannelInboundHandlerAdapter())
                        .connect(connector.getSocketAddress())
                        .await();
        connected.channel().close();
        return connected.isSuccess();
    }
}
