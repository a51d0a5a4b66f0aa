package org.torchserve.rollout.gateway;

import io.netty.channel.ChannelDuplexHandler;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelPromise;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpHeaderValues;
import io.netty.handler.codec.http.HttpRequest;
import io.netty.handler.codec.http.HttpResponse;
import io.netty.handler.codec.http.HttpUtil;
import io.netty.handler.codec.http.HttpVersion;
import io.netty.handler.codec.http.LastHttpContent;
import io.netty.util.ReferenceCountUtil;
import java.util.ArrayDeque;
import java.util.Queue;

/**
 * Lets one request of a connection through at a time, so that pipelined requests are answered in order; closes the connection
 * behind the last one; tells the one under way when the client has gone.
 */
final class Connection extends ChannelDuplexHandler {
    private static final int MAX_WAITING = 16;
    private static final Runnable NOTHING = () -> {};

    private final Queue<Object> waiting = new ArrayDeque<>();
    private boolean busy;
    private boolean speaksHttp10;
    /** The answer being written is the last: the client or the answer said so. */
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
            pass(ctx, request);
        }
    }

    private void pass(ChannelHandlerContext ctx, Object request) {
        if (request instanceof HttpRequest) {
            closing = !HttpUtil.isKeepAlive((HttpRequest) request);
            speaksHttp10 = ((HttpRequest) request).protocolVersion().equals(HttpVersion.HTTP_1_0);
        }
        ctx.fireChannelRead(request);
    }

    @Override
    public void write(ChannelHandlerContext ctx, Object message, ChannelPromise promise) {
        if (message instanceof HttpResponse) {
            prepare((HttpResponse) message);
        }
        boolean last = message instanceof LastHttpContent;
        ctx.write(message, last && closing ? promise.unvoid().addListener(ChannelFutureListener.CLOSE) : promise);
        if (last) {
            whenClosed = NOTHING;
            busy = false;
            if (!waiting.isEmpty()) {
                busy = true;
                ctx.executor().execute(() -> next(ctx));
            }
        }
    }

    private void prepare(HttpResponse response) {
        closing |= response.headers().contains(HttpHeaderNames.CONNECTION, HttpHeaderValues.CLOSE, true);
        if (speaksHttp10 && HttpUtil.isTransferEncodingChunked(response)) {
            // HTTP/1.0 knows no chunks; there a body without a length lasts until the connection ends.
            HttpUtil.setTransferEncodingChunked(response, false);
            closing = true;
        }
        if (closing) {
            response.headers().set(HttpHeaderNames.CONNECTION, HttpHeaderValues.CLOSE);
        }
    }

    private void next(ChannelHandlerContext ctx) {
        Object request = waiting.poll();
        if (request != null && !closing) {
            ctx.channel().config().setAutoRead(true);
            pass(ctx, request);
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
