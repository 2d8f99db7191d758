using System.Net;
using Quorumail.Core.Delivery;
using Quorumail.Server.Delivery;
using Quorumail.Server.Delivery.Dns;

namespace Quorumail.Server.Tests.Delivery;

public sealed class MxResolverTests
{
    private static readonly Route Mx = new() { Match = "*", Transport = RouteTransport.Mx };
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static async Task<TargetResolution> Resolve(string domain, params string[] zone)
    {
        var policy = new TargetPolicy("us.example", [25], () => [IPAddress.Parse("198.51.100.1")]);
        return await new MxResolver(new TableDns(zone), policy, _ => 0).ResolveAsync(new NextHop(Mx, domain), Token);
    }

    private static string Hosts(TargetResolution resolution) => string.Join(' ', resolution.Targets.Select(t => t.EndPoint.Address));

    [Fact]
    public async Task Exchangers_come_by_preference_and_addresses_alternate()
    {
        var found = await Resolve("x.example",
            "MX x.example 20 b.example", "MX x.example 10 a.example",
            "A a.example 192.0.2.1", "A a.example 192.0.2.2", "A a.example 2001:db8::1", "A b.example 192.0.2.9");
        Assert.Equal("2001:db8::1 192.0.2.1 192.0.2.2 192.0.2.9", Hosts(found));
        Assert.Equal("a.example[2001:db8::1]:25", found.Targets[0].ToString());
    }

    [Fact]
    public async Task Exchangers_of_one_preference_come_in_random_order()
    {
        var policy = new TargetPolicy("us.example", [25], () => []);
        var dns = new TableDns("MX x 10 a", "MX x 10 b", "A a 192.0.2.1", "A b 192.0.2.2");
        var turn = 0;
        var resolver = new MxResolver(dns, policy, _ => turn--);
        var found = await resolver.ResolveAsync(new NextHop(Mx, "x"), Token);
        Assert.Equal("192.0.2.2 192.0.2.1", Hosts(found));
    }

    [Fact]
    public async Task Five_addresses_at_most_are_tried()
    {
        var zone = Enumerable.Range(1, 9).SelectMany(i => new[] { $"MX x {i} h{i}", $"A h{i} 192.0.2.{i}" }).ToArray();
        Assert.Equal(5, (await Resolve("x", zone)).Targets.Count);
    }

    [Fact]
    public async Task Without_exchangers_the_domain_itself_is_the_host() =>
        Assert.Equal("192.0.2.7", Hosts(await Resolve("x.example", "A x.example 192.0.2.7")));

    [Theory]
    [InlineData("gone.example", "5.1.2")]
    [InlineData("null.example", "5.1.10")]
    [InlineData("fails.example", "4.4.3")]
    [InlineData("empty.example", "5.4.4")]
    [InlineData("hostless.example", "5.4.4")]
    [InlineData("halffails.example", "4.4.3")]
    [InlineData("loop.example", "5.4.6")]
    [InlineData("self.example", "5.4.6")]
    [InlineData("local.example", "5.4.6")]
    [InlineData("a..b", "5.1.2")]
    [InlineData("[127.0.0.1]", "5.4.6")]
    [InlineData("[IPv6:::1]", "5.4.6")]
    [InlineData("bad domain", "5.1.2")]
    public async Task What_cannot_be_reached_says_why(string domain, string code)
    {
        var found = await Resolve(domain,
            "MX null.example 0 .", "FAIL fails.example", "NONE empty.example",
            "MX hostless.example 10 nowhere.example", "MX halffails.example 10 nowhere.example", "MX halffails.example 20 broken.example",
            "FAIL broken.example", "MX loop.example 5 localhost", "A localhost 127.0.0.1", "A localhost ::1",
            "MX self.example 10 US.example", "MX self.example 20 other.example", "A other.example 192.0.2.1",
            "MX local.example 10 here.example", "A here.example 198.51.100.1");
        Assert.Empty(found.Targets);
        Assert.Equal(code, found.EnhancedCode);
        Assert.Equal(code[0] == '5', found.IsPermanent);
    }

    [Fact]
    public async Task Where_we_are_an_exchanger_only_better_ones_are_tried()
    {
        var found = await Resolve("x",
            "MX x 10 better", "MX x 20 us.example", "MX x 30 worse", "A better 192.0.2.1", "A worse 192.0.2.3", "A us.example 192.0.2.2");
        Assert.Equal("192.0.2.1", Hosts(found));
    }

    [Fact]
    public async Task A_hostile_zone_keeps_its_good_addresses_only() =>
        Assert.Equal("192.0.2.1", Hosts(await Resolve("x",
            "MX x 10 a", "A a 127.0.0.1", "A a ::1", "A a 0.0.0.0", "A a 169.254.1.1", "A a fe80::1", "A a ::ffff:127.0.0.1", "A a 224.0.0.1",
            "A a 255.255.255.255", "A a ff02::1", "A a 64:ff9b::7f00:1", "A a 2002:7f00:1::1", "A a ::", "A a ::127.0.0.1", "A a 192.0.2.1")));

    [Fact]
    public async Task An_explicit_route_may_lead_to_loopback_but_not_to_ourselves()
    {
        var policy = new TargetPolicy("us.example", [2525]);
        var resolver = new MxResolver(new TableDns("A back 127.0.0.1"), policy, _ => 0);
        var good = new Route { Match = "*", Transport = RouteTransport.Smtp, Host = "back", Port = 2526 };
        var own = new Route { Match = "*", Transport = RouteTransport.Smtp, Host = "127.0.0.1", Port = 2525 };
        Assert.Equal("127.0.0.1", Hosts(await resolver.ResolveAsync(new NextHop(good, ""), Token)));
        Assert.Equal("5.4.6", (await resolver.ResolveAsync(new NextHop(own, ""), Token)).EnhancedCode);
    }

    [Fact]
    public async Task An_international_domain_is_asked_for_in_its_ASCII_form() =>
        Assert.Equal("192.0.2.5", Hosts(await Resolve("bücher.example", "A xn--bcher-kva.example 192.0.2.5")));
}
