package org.torchserve.rollout.gateway;

import io.netty.handler.codec.http.cookie.Cookie;
import io.netty.handler.codec.http.cookie.ServerCookieDecoder;
import java.util.function.UnaryOperator;
import org.torchserve.rollout.routing.Sender;
import org.torchserve.rollout.routing.StickyKey;

/**
 * The sender of a request, known by its headers.
 *
 * @param sequence the sequence that the request belongs to, or null
 */
record RequestSender(UnaryOperator<String> headers, String sequence, boolean endsSequence) implements Sender {
    @Override
    public String header(String name) {
        return headers.apply(name);
    }

    @Override
    public String key(StickyKey where) {
        if (where.place() == StickyKey.Place.HEADER) {
            return header(where.name());
        }
        String cookies = header("cookie");
        if (cookies != null) {
            for (Cookie cookie : ServerCookieDecoder.LAX.decode(cookies)) {
                if (cookie.name().equals(where.name())) {
                    return cookie.value();
                }
            }
        }
        return null;
    }
}
