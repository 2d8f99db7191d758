namespace Quorumail.Core.Delivery;

/// <summary>
/// Finds the route of a domain. The most specific pattern wins: the domain itself, then the longest <c>*.suffix</c>, then
/// <c>*</c>; of equal patterns the first. Without any the route is <see cref="Route.DefaultMx"/>. Immutable.
/// </summary>
public sealed class RouteTable
{
    private readonly Dictionary<string, Route> _exact = new(StringComparer.OrdinalIgnoreCase);
    private readonly Dictionary<string, Route> _below = new(StringComparer.OrdinalIgnoreCase);
    private readonly Dictionary<string, Route>.AlternateLookup<ReadOnlySpan<char>> _exactLookup;
    private readonly Dictionary<string, Route>.AlternateLookup<ReadOnlySpan<char>> _belowLookup;
    private readonly Route _everyOther = Route.DefaultMx;

    public RouteTable(IEnumerable<Route> routes)
    {
        var hasEveryOther = false;
        foreach (var route in routes)
        {
            var match = route.Match.Trim().TrimEnd('.');
            if (string.Equals(match, "*", StringComparison.Ordinal))
            {
                _everyOther = hasEveryOther ? _everyOther : route;
                hasEveryOther = true;
            }
            else if (match.StartsWith("*.", StringComparison.Ordinal))
            {
                _below.TryAdd(match[2..], route);
            }
            else
            {
                _exact.TryAdd(match, route);
            }
        }

        _exactLookup = _exact.GetAlternateLookup<ReadOnlySpan<char>>();
        _belowLookup = _below.GetAlternateLookup<ReadOnlySpan<char>>();
    }

    /// <summary>The route of a domain; a trailing dot and case do not matter.</summary>
    public Route Resolve(ReadOnlySpan<char> domain)
    {
        domain = domain.TrimEnd('.');
        if (_exactLookup.TryGetValue(domain, out var route))
        {
            return route;
        }

        // An address literal has no parents.
        if (_below.Count > 0 && !domain.StartsWith("["))
        {
            for (var dot = domain.IndexOf('.'); dot >= 0; dot = domain.IndexOf('.'))
            {
                domain = domain[(dot + 1)..];
                if (_belowLookup.TryGetValue(domain, out route))
                {
                    return route;
                }
            }
        }

        return _everyOther;
    }

    /// <summary>The domain of a forward-path: what follows its last @; empty for a bare local part ("postmaster").</summary>
    public static ReadOnlySpan<char> DomainOf(string address)
    {
        var at = address.LastIndexOf('@');
        return at < 0 ? default : address.AsSpan(at + 1);
    }
}
