package org.torchserve.rollout.gateway;

import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelPipeline;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.FullHttpMessage;
import io.netty.handler.codec.http.FullHttpResponse;
import io.netty.handler.codec.http.HttpExpectationFailedEvent;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpHeaderValues;
import io.netty.handler.codec.http.HttpMessage;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpUtil;
import io.netty.handler.codec.http.HttpVersion;
import java.nio.charset.StandardCharsets;
import org.torchserve.rollout.routing.Problem;

/**
 * Puts requests together, and refuses those that are too large when it is their turn: what netty itself says to them would
 * overtake the answers to the requests before, and be taken for one of those.
 */
final class SizeLimit extends HttpObjectAggregator {
    /** Stands in {@link Connection}'s queue for a request whose body is left unread. */
    private record TooLarge(boolean endsConnection) {}

    SizeLimit(int maxBytes) {
        super(maxBytes);
    }

    @Override
    protected Object newContinueResponse(HttpMessage start, int maxBytes, ChannelPipeline pipeline) {
        boolean tooLarge = HttpUtil.is100ContinueExpected(start) && isContentLengthInvalid(start, maxBytes);
        return tooLarge ? null : super.newContinueResponse(start, maxBytes, pipeline);
    }

    @Override
    protected void handleOversizedMessage(ChannelHandlerContext ctx, HttpMessage oversized) {
        if (HttpUtil.is100ContinueExpected(oversized)) {
            // This client sends no body before it is told to: the next bytes are a request.
            ctx.pipeline().fireUserEventTriggered(HttpExpectationFailedEvent.INSTANCE);
        }
        // A body that told its length is passed over; one that did not may never end.
        boolean mayNeverEnd = oversized instanceof FullHttpMessage;
        ctx.fireChannelRead(new TooLarge(mayNeverEnd || !HttpUtil.isKeepAlive(oversized)));
    }

    /** Answers what was too large; stands behind {@link Connection}. */
    static final class Refusals extends ChannelInboundHandlerAdapter {
        private final int maxBytes;

        Refusals(int maxBytes) {
            this.maxBytes = maxBytes;
        }

        @Override
        public void channelRead(ChannelHandlerContext ctx, Object request) {
            if (!(request instanceof TooLarge)) {
                ctx.fireChannelRead(request);
                return;
            }
            String message = "The body is larger than " + maxBytes + " bytes, max_request_size in config.properties.";
            String json = ErrorForm.TORCHSERVE.json(new Problem(413, "RequestTooLargeException", message)) + "\n";
            FullHttpResponse refusal =
                    new DefaultFullHttpResponse(
                            HttpVersion.HTTP_1_1,
                            HttpResponseStatus.REQUEST_ENTITY_TOO_LARGE,
                            Unpooled.copiedBuffer(json, StandardCharsets.UTF_8));
            refusal.headers().set(HttpHeaderNames.CONTENT_TYPE, HttpHeaderValues.APPLICATION_JSON);
            HttpUtil.setContentLength(refusal, refusal.content().readableBytes());
            if (((TooLarge) request).endsConnection()) {
                refusal.headers().set(HttpHeaderNames.CONNECTION, HttpHeaderValues.CLOSE);
            }
            ctx.writeAndFlush(refusal);
        }
    }
}
