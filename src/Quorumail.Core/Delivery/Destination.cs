namespace Quorumail.Core.Delivery;

/// <summary>
/// What is tried, counted and backed off as one: with <see cref="RouteTransport.Mx"/> a route and a domain, otherwise the route.
/// Connections to it can be shared. Compared by reference within one scheduler.
/// </summary>
public sealed class Destination
{
    internal Destination(Route route, string domain)
    {
        Route = route;
        Domain = domain;
    }

    /// <summary>The route.</summary>
    public Route Route { get; }

    /// <summary>The domain, lower case, for <see cref="RouteTransport.Mx"/>; otherwise empty.</summary>
    public string Domain { get; }

    public override string ToString() => Route.Transport switch
    {
        RouteTransport.Mx => Domain,
        RouteTransport.Smtp or RouteTransport.Lmtp => $"{Route.Host}:{Route.Port}",
        _ => Route.Transport.ToString().ToLowerInvariant(),
    };
}
