using System.Text;
using Quorumail.Core.Mail;

namespace Quorumail.Core.Tests.Smtp;

public sealed class MailPathTests
{
    [Theory]
    [InlineData("<a@b>", "a@b")]
    [InlineData("<a.b+c@d.example>", "a.b+c@d.example")]
    [InlineData("<@x,@y.example:a@b>", "a@b")]
    [InlineData("<\"a\"@b>", "a@b")]
    [InlineData("<\"a b\"@b>", "\"a b\"@b")]
    [InlineData("<\"x@other\"@us>", "\"x@other\"@us")]
    [InlineData("<\"a\\\"b\"@b>", "\"a\\\"b\"@b")]
    [InlineData("<user%other@us>", "user%other@us")]
    [InlineData("<other!user@us>", "other!user@us")]
    [InlineData("<a@[192.0.2.1]>", "a@[192.0.2.1]")]
    [InlineData("<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]")]
    [InlineData("<postmaster>", "postmaster")]
    [InlineData("<PostMaster>", "PostMaster")]
    [InlineData("<ä@ö.example>", "ä@ö.example")]
    public void A_path_is_read(string text, string address)
    {
        var fault = MailPath.Parse(Encoding.UTF8.GetBytes(text), isReverse: false, allowsUtf8: true, out var path, out var used);
        Assert.Equal(AddressFault.None, fault);
        Assert.Equal(address, path.Address);
        Assert.Equal(Encoding.UTF8.GetByteCount(text), used);
    }

    [Theory]
    [InlineData("")]
    [InlineData("<")]
    [InlineData("<>")]
    [InlineData("a@b")]
    [InlineData("<a@b")]
    [InlineData("<a>")]
    [InlineData("<a@>")]
    [InlineData("<@b>")]
    [InlineData("<a@b@c>")]
    [InlineData("<a@b.>")]
    [InlineData("<a@.b>")]
    [InlineData("<a@b..c>")]
    [InlineData("<.a@b>")]
    [InlineData("<a.@b>")]
    [InlineData("<a..b@c>")]
    [InlineData("<a b@c>")]
    [InlineData("<a@b c>")]
    [InlineData("<a@-b>")]
    [InlineData("<a@b->")]
    [InlineData("<\"a@b>")]
    [InlineData("<\"a\"b@c>")]
    [InlineData("<\"a\t\"@c>")]
    [InlineData("<a@[1.2.3]>")]
    [InlineData("<a@[1.2.3.256]>")]
    [InlineData("<a@[IPv6:::1%eth0]>")]
    [InlineData("<a@[IPv6:1.2.3.4]>")]
    [InlineData("<a@[x:y]>")]
    [InlineData("<@x:>")]
    [InlineData("<@x,y:a@b>")]
    [InlineData("<@x a@b>")]
    [InlineData("<a\u0001@b>")]
    [InlineData("<a\u2028@b>")]
    [InlineData("<a\u0085@b>")]
    [InlineData("<../../x@b/c>")]
    public void What_is_no_path_is_refused(string text) => Assert.Equal(
        AddressFault.Syntax,
        MailPath.Parse(Encoding.UTF8.GetBytes(text), isReverse: false, allowsUtf8: true, out _, out _));

    [Fact]
    public void Lengths_are_bounded()
    {
        Assert.Equal(AddressFault.None, Parse($"<{new string('a', 64)}@b>"));
        Assert.Equal(AddressFault.Syntax, Parse($"<{new string('a', 65)}@b>"));
        Assert.Equal(AddressFault.Syntax, Parse($"<a@{new string('b', 64)}>"));
        Assert.Equal(AddressFault.Syntax, Parse($"<a@{string.Join('.', Enumerable.Repeat("bcd", 63))}.example>"));
    }

    [Fact]
    public void Octets_above_127_need_SMTPUTF8_and_must_be_UTF_8()
    {
        Assert.Equal(AddressFault.NeedsUtf8, Parse("<ä@b>"));
        Assert.Equal(AddressFault.Syntax, MailPath.Parse([(byte)'<', 0xFF, (byte)'@', (byte)'b', (byte)'>'], isReverse: false, allowsUtf8: true, out _, out _));
    }

    [Fact]
    public void Local_part_and_domain_are_what_stands_around_the_last_at_sign()
    {
        MailPath.Parse("<\"x@o\\\"ther\"@us>"u8, isReverse: false, allowsUtf8: false, out var path, out _);
        Assert.Equal("us", path.Domain.ToString());
        Assert.Equal("x@o\"ther", path.UnquotedLocalPart());
    }

    private static AddressFault Parse(string text) =>
        MailPath.Parse(Encoding.UTF8.GetBytes(text), isReverse: false, allowsUtf8: false, out _, out _);
}
