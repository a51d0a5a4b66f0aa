package org.torchserve.rollout.gateway;

import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.ChannelPipeline;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.handler.ssl.SslContext;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.util.Map;
import org.pytorch.serve.http.HttpRequestHandler;
import org.pytorch.serve.http.HttpRequestHandlerChain;
import org.pytorch.serve.http.InvalidRequestHandler;
import org.pytorch.serve.http.TokenAuthorizationHandler;
import org.pytorch.serve.http.api.rest.ApiDescriptionRequestHandler;
import org.pytorch.serve.http.api.rest.InferenceRequestHandler;
import org.pytorch.serve.http.api.rest.OpenInferenceProtocolRequestHandler;
import org.pytorch.serve.servingsdk.ModelServerEndpoint;
import org.pytorch.serve.servingsdk.impl.PluginsManager;
import org.pytorch.serve.util.ConfigManager;
import org.pytorch.serve.util.Connector;
import org.pytorch.serve.util.ConnectorType;
import org.pytorch.serve.util.TokenAuthorization.TokenType;
import org.pytorch.serve.workflow.api.http.WorkflowInferenceRequestHandler;

/** The public inference listener: TorchServe's own pipeline with {@link RoutedRequests} put in front of its handler. */
final class GatewayListener extends ChannelInitializer<Channel> {
    private static final int BACKLOG = 1024;

    private final Inferences inferences;
    private final SslContext sslContext;
    private final int maxRequestBytes = ConfigManager.getInstance().getMaxRequestSize();

    private GatewayListener(Inferences inferences, SslContext sslContext) {
        this.inferences = inferences;
        this.sslContext = sslContext;
    }

    /** Opens the listener and returns once it accepts connections. */
    static Channel open(String address, Inferences inferences)
            throws IOException, GeneralSecurityException {
        ConfigManager config = ConfigManager.getInstance();
        Connector connector = Connector.parse(address, ConnectorType.INFERENCE_CONNECTOR);
        connector.clean();
        SslContext sslContext = connector.isSsl() ? config.getSslContext() : null;
        // Loops of its own: TorchServe registers models on its loops, which stops every connection on them.
        ServerBootstrap bootstrap =
                new ServerBootstrap()
                        .group(
                                Connector.newEventLoopGroup(1),
                                Connector.newEventLoopGroup(config.getNettyThreads()))
                        .channel(connector.getServerChannel())
                        .option(ChannelOption.SO_BACKLOG, BACKLOG)
                        .childHandler(new GatewayListener(inferences, sslContext));
        // TorchServe sets SO_LINGER to 0, which throws away what a slow client has not read yet: not here.
        ChannelFuture bound = bootstrap.bind(connector.getSocketAddress()).awaitUninterruptibly();
        if (!bound.isSuccess()) {
            bootstrap.config().group().shutdownGracefully();
            bootstrap.config().childGroup().shutdownGracefully();
            throw new IOException(bound.cause().getMessage(), bound.cause());
        }
        return bound.channel();
    }

    @Override
    protected void initChannel(Channel channel) {
        ChannelPipeline pipeline = channel.pipeline();
        if (sslContext != null) {
            pipeline.addLast("ssl", sslContext.newHandler(channel.alloc()));
        }
        pipeline.addLast("http", new HttpServerCodec());
        pipeline.addLast("size", new SizeLimit(maxRequestBytes));
        pipeline.addLast("connection", new Connection());
        pipeline.addLast("refusals", new SizeLimit.Refusals(maxRequestBytes));
        pipeline.addLast("handler", new HttpRequestHandler(handlers()));
    }

    private HttpRequestHandlerChain handlers() {
        Map<String, ModelServerEndpoint> plugins = PluginsManager.getInstance().getInferenceEndpoints();
        HttpRequestHandlerChain first = new ApiDescriptionRequestHandler(ConnectorType.INFERENCE_CONNECTOR);
        HttpRequestHandlerChain last =
                first.setNextHandler(new OpenAiRoutes.Errors())
                        .setNextHandler(new TokenAuthorizationHandler(TokenType.INFERENCE))
                        .setNextHandler(new OpenAiRoutes.Models())
                        .setNextHandler(new RoutedRequests(inferences, plugins.keySet()))
                        .setNextHandler(new InferenceRequestHandler(plugins))
                        .setNextHandler(new WorkflowInferenceRequestHandler());
        if (ConfigManager.getInstance().isOpenInferenceProtocol()) {
            last = last.setNextHandler(new OpenInferenceProtocolRequestHandler());
        }
        last.setNextHandler(new InvalidRequestHandler());
        return first;
    }
}
