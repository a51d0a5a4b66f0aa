package org.torchserve.rollout.gateway;

import io.netty.handler.codec.http.cookie.Cookie;
import io.netty.handler.codec.http.cookie.ServerCookieDecoder;
import java.util.function.UnaryOperator;
import org.pytorch.serve.util.ConfigManager;
import org.torchserve.rollout.routing.StickyKey;

/** Finds what keeps a sender on one version. */
final class StickyKeys {
    private StickyKeys() {}

    /** @param header the value of a header of the request, or null */
    static String find(UnaryOperator<String> header, StickyKey sticky) {
        if (sticky == null) {
            // The workers of one version keep a sequence's state: all of it has to go there.
            return header.apply(ConfigManager.getInstance().getTsHeaderKeySequenceId());
        }
        if (sticky.place() == StickyKey.Place.HEADER) {
            return header.apply(sticky.name());
        }
        String cookies = header.apply("cookie");
        if (cookies != null) {
            for (Cookie cookie : ServerCookieDecoder.LAX.decode(cookies)) {
                if (cookie.name().equals(sticky.name())) {
                    return cookie.value();
                }
            }
        }
        return null;
    }
}
