using Quorumail.Core.Delivery;
using Quorumail.Core.Delivery.Client;

namespace Quorumail.Server.Delivery;

/// <summary>Where a connection leads: a route and, for exchangers, a domain. Connections are shared where both are the same.</summary>
/// <param name="Route">One of <see cref="RouteTransport.Mx"/>, <see cref="RouteTransport.Smtp"/>, <see cref="RouteTransport.Lmtp"/>.</param>
/// <param name="Domain">The domain whose exchangers are meant; empty unless by MX.</param>
internal readonly record struct NextHop(Route Route, string Domain)
{
    /// <summary>Look for mail exchangers of <see cref="Host"/>; otherwise it is the next hop itself.</summary>
    public bool ByMx => Route.Transport == RouteTransport.Mx;

    public bool IsLmtp => Route.Transport == RouteTransport.Lmtp;

    /// <summary>A domain, a host name, an address or an address literal.</summary>
    public string Host => ByMx ? Domain : Route.Host;

    public int Port => Route.Port;

    /// <summary>For AUTH, or null.</summary>
    public ClientCredentials? Credentials =>
        Route.UserName is { Length: > 0 } user ? new ClientCredentials(user, Route.Password ?? string.Empty) : null;

    public static NextHop Of(Destination destination) => new(destination.Route, destination.Domain);
}
