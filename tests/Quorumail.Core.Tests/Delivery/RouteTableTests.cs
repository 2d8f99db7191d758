using Quorumail.Core.Delivery;

namespace Quorumail.Core.Tests.Delivery;

public sealed class RouteTableTests
{
    private readonly RouteTable _table = new(
    [
        Smtp("*", "rest"), Smtp("*.example.org", "below"), Smtp("*.a.example.org", "deep"), Smtp("Example.ORG", "exact"),
        Smtp("example.org", "second"), Smtp("[192.0.2.1]", "literal"),
    ]);

    [Theory]
    [InlineData("example.org", "exact")]
    [InlineData("EXAMPLE.org.", "exact")]
    [InlineData("x.example.org", "below")]
    [InlineData("x.a.example.org", "deep")]
    [InlineData("a.example.org", "below")]
    [InlineData("badexample.org", "rest")]
    [InlineData("[192.0.2.1]", "literal")]
    [InlineData("[192.0.2.example.org", "rest")]
    [InlineData("", "rest")]
    public void The_most_specific_pattern_wins(string domain, string host) => Assert.Equal(host, _table.Resolve(domain).Host);

    [Fact]
    public void Without_a_route_mail_goes_to_the_mail_exchangers() =>
        Assert.Same(Route.DefaultMx, new RouteTable([Smtp("example.org", "x")]).Resolve("example.com"));

    [Theory]
    [InlineData("a@b.example", "b.example")]
    [InlineData("\"a@c\"@b.example", "b.example")]
    [InlineData("postmaster", "")]
    public void The_domain_follows_the_last_at(string address, string domain) =>
        Assert.Equal(domain, RouteTable.DomainOf(address).ToString());

    private static Route Smtp(string match, string host) =>
        new() { Match = match, Transport = RouteTransport.Smtp, Host = host };
}
