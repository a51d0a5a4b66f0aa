package org.torchserve.rollout.gateway;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertTrue;

import io.netty.buffer.Unpooled;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.handler.codec.http.DefaultFullHttpRequest;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.DefaultHttpContent;
import io.netty.handler.codec.http.DefaultHttpResponse;
import io.netty.handler.codec.http.FullHttpRequest;
import io.netty.handler.codec.http.HttpMethod;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpUtil;
import io.netty.handler.codec.http.HttpVersion;
import io.netty.handler.codec.http.LastHttpContent;
import org.junit.Test;

public class ConnectionTest {
    private final Connection connection = new Connection();
    private final EmbeddedChannel channel = new EmbeddedChannel(connection);

    private static FullHttpRequest request(String uri) {
        return new DefaultFullHttpRequest(HttpVersion.HTTP_1_1, HttpMethod.POST, uri, Unpooled.buffer(8));
    }

    private static DefaultFullHttpResponse answer() {
        return new DefaultFullHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.OK);
    }

    private String arrived() {
        FullHttpRequest next = channel.readInbound();
        return next == null ? null : next.uri();
    }

    @Test
    public void pipelinedRequestsAreLetThroughOneByOne() {
        channel.writeInbound(request("/1"), request("/2"), request("/3"));
        assertEquals("/1", arrived());
        assertNull(arrived());
        channel.writeOutbound(answer());
        channel.runPendingTasks();
        assertEquals("/2", arrived());
        assertNull(arrived());
        channel.writeOutbound(answer());
        channel.runPendingTasks();
        assertEquals("/3", arrived());
    }

    @Test
    public void aStreamEndsWithItsLastPart() {
        channel.writeInbound(request("/1"), request("/2"));
        arrived();
        channel.writeOutbound(new DefaultHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.OK));
        channel.writeOutbound(new DefaultHttpContent(Unpooled.copiedBuffer(new byte[] {1})));
        channel.runPendingTasks();
        assertNull(arrived());
        channel.writeOutbound(LastHttpContent.EMPTY_LAST_CONTENT);
        channel.runPendingTasks();
        assertEquals("/2", arrived());
    }

    @Test
    public void manyWaitingRequestsStopTheReadingUntilTheyAreFewer() {
        for (int i = 0; i < 17; i++) {
            channel.writeInbound(request("/" + i));
        }
        assertFalse(channel.config().isAutoRead());
        channel.writeOutbound(answer());
        channel.runPendingTasks();
        assertTrue(channel.config().isAutoRead());
    }

    @Test
    public void theRequestUnderWayHearsThatTheClientLeftAndTheWaitingOnesAreReleased() {
        FullHttpRequest waiting = request("/2");
        boolean[] told = {false};
        channel.writeInbound(request("/1"), waiting);
        connection.whenClosed(() -> told[0] = true);
        channel.close();
        assertTrue(told[0]);
        assertEquals(0, waiting.refCnt());
    }

    @Test
    public void anAnsweredRequestHearsNothing() {
        boolean[] told = {false};
        channel.writeInbound(request("/1"));
        connection.whenClosed(() -> told[0] = true);
        channel.writeOutbound(answer());
        channel.close();
        assertFalse(told[0]);
    }

    @Test
    public void nothingIsStartedAfterAnAnswerThatClosesTheConnection() {
        FullHttpRequest waiting = request("/2");
        channel.writeInbound(request("/1"), waiting);
        arrived();
        DefaultFullHttpResponse last = answer();
        last.headers().set("connection", "close");
        channel.writeOutbound(last);
        channel.runPendingTasks();
        assertNull(arrived());
        assertEquals(0, waiting.refCnt());
    }

    /** The head of a stream that answers a request of this version with this header. */
    private DefaultHttpResponse streamFor(HttpVersion version, String connection) {
        FullHttpRequest request = new DefaultFullHttpRequest(version, HttpMethod.POST, "/1", Unpooled.buffer(8));
        request.headers().set("connection", connection);
        channel.writeInbound(request, request("/2"));
        arrived();
        DefaultHttpResponse head = new DefaultHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.OK);
        HttpUtil.setTransferEncodingChunked(head, true);
        channel.writeOutbound(head);
        return head;
    }

    @Test
    public void aClientWhoWantsNoFurtherAnswerIsToldSoAndTheConnectionEndsWithTheStream() {
        assertEquals("close", streamFor(HttpVersion.HTTP_1_1, "close").headers().get("connection"));
        assertTrue(channel.isOpen());
        channel.writeOutbound(LastHttpContent.EMPTY_LAST_CONTENT);
        channel.runPendingTasks();
        assertNull(arrived());
        assertFalse(channel.isOpen());
    }

    @Test
    public void aClientOfHttp10GetsAStreamWithoutChunksThatEndsWithTheConnection() {
        DefaultHttpResponse head = streamFor(HttpVersion.HTTP_1_0, "keep-alive");
        assertFalse(HttpUtil.isTransferEncodingChunked(head));
        assertEquals("close", head.headers().get("connection"));
        channel.writeOutbound(LastHttpContent.EMPTY_LAST_CONTENT);
        assertFalse(channel.isOpen());
    }

    @Test
    public void aClientOfHttp10WhoKeepsTheConnectionGetsFurtherAnswers() {
        FullHttpRequest request =
                new DefaultFullHttpRequest(HttpVersion.HTTP_1_0, HttpMethod.POST, "/1", Unpooled.buffer(8));
        request.headers().set("connection", "keep-alive");
        channel.writeInbound(request, request("/2"));
        arrived();
        channel.writeOutbound(answer());
        channel.runPendingTasks();
        assertEquals("/2", arrived());
    }
}
