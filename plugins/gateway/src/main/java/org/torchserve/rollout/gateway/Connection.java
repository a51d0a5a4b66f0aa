package org.torchserve.rollout.gateway;

import io.netty.channel.ChannelDuplexHandler;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelPromise;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpHeaderValues;
import io.netty.handler.codec.http.HttpResponse;
import io.netty.handler.codec.http.LastHttpContent;
import io.netty.util.ReferenceCountUtil;
import java.util.ArrayDeque;
import java.util.Queue;

/**
 * Lets one request of a connection through at a time, so that pipelined requests are answered in order, and tells the one
 * under way when the client has gone.
 */
final class Connection extends ChannelDuplexHandler {
    private static final int MAX_WAITING = 16;
    private static final Runnable NOTHING = () -> {};

    private final Queue<Object> waiting = new ArrayDeque<>();
    private boolean busy;
    private boolean closing;
    private Runnable whenClosed = NOTHING;

    /** What to run if the connection closes before the present request is answered; to be called on the event loop. */
    void whenClosed(Runnable action) {
        whenClosed = action;
    }

    @Override
    public void channelRead(ChannelHandlerContext ctx, Object request) {
        if (closing) {
            ReferenceCountUtil.release(request);
        } else if (busy) {
            waiting.add(request);
            ctx.channel().config().setAutoRead(waiting.size() < MAX_WAITING);
        } else {
            busy = true;
            ctx.fireChannelRead(request);
        }
    }

    @Override
    public void write(ChannelHandlerContext ctx, Object message, ChannelPromise promise) {
        if (message instanceof HttpResponse) {
            closing |=
                    ((HttpResponse) message)
                            .headers()
                            .contains(HttpHeaderNames.CONNECTION, HttpHeaderValues.CLOSE, true);
        }
        boolean last = message instanceof LastHttpContent;
        ctx.write(message, promise);
        if (last) {
            whenClosed = NOTHING;
            busy = false;
            if (!waiting.isEmpty()) {
                busy = true;
                ctx.executor().execute(() -> next(ctx));
            }
        }
    }

    private void next(ChannelHandlerContext ctx) {
        Object request = waiting.poll();
        if (request != null && !closing) {
            ctx.channel().config().setAutoRead(true);
            ctx.fireChannelRead(request);
        } else {
            ReferenceCountUtil.release(request);
        }
    }

    @Override
    public void channelInactive(ChannelHandlerContext ctx) {
        closing = true;
        waiting.forEach(ReferenceCountUtil::release);
        waiting.clear();
        whenClosed.run();
        whenClosed = NOTHING;
        ctx.fireChannelInactive();
    }
}
