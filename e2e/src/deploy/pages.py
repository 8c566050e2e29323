"""Opens pages in a browser: saves how they look, and prints what an accessibility check finds, as JSON.

    pages.py CHROMIUM FOLDER NAME=URL…
"""

import json
import sys

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

# What people look with.
VIEWS = {
    "light": {"viewport": {"width": 1000, "height": 640}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1000, "height": 640}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 800}, "color_scheme": "light", "has_touch": True},
    "narrow": {"viewport": {"width": 320, "height": 640}, "color_scheme": "dark", "has_touch": True},
    "wide": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"},
}

# What is hard to read: words broken in two, except in errors, and captions of more than two lines.
UNREADABLE = r"""() => {
  const found = [];
  const lines = (box) => box.clientHeight / parseFloat(getComputedStyle(box).lineHeight);
  for (const box of document.querySelectorAll("caption, thead th")) {
    if (lines(box) > 3) found.push(`more than two lines: ${box.textContent}`);
  }
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode;
    if (text.parentElement.closest("[data-label=Why], [data-label=Error]")) continue;
    for (const word of text.data.matchAll(/\w+/g)) {
      const range = document.createRange();
      range.setStart(text, word.index);
      range.setEnd(text, word.index + word[0].length);
      const tops = [...range.getClientRects()].map((box) => Math.round(box.top));
      if (new Set(tops).size > 1) found.push(`broken: ${word[0]}`);
    }
  }
  return found;
}"""


def main() -> None:
    chromium, folder, *pages = sys.argv[1:]
    found = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for page in pages:
            name, url = page.split("=", 1)
            for view, options in VIEWS.items():
                context = browser.new_context(**options, java_script_enabled=False)
                tab = context.new_page()
                requested = []
                tab.on("request", lambda request: requested.append(request.url))
                tab.goto(url)
                tab.screenshot(path=f"{folder}/{name}-{view}.png")
                context.close()
                # The check itself is a script, which the page's policy forbids. No page must reload meanwhile.
                context = browser.new_context(**options, bypass_csp=True)
                tab = context.new_page()
                messages = []
                tab.on("console", lambda message: messages.append(message.text))
                tab.goto(f"{url}?pause")
                width = tab.evaluate("document.documentElement.scrollWidth")
                violations = Axe().run(tab).response["violations"]
                found.append(
                    {
                        "page": name,
                        "view": view,
                        "title": tab.title(),
                        "text": tab.inner_text("main"),
                        "requests": len(requested),
                        "unreadable": tab.evaluate(UNREADABLE),
                        "first_link": tab.locator("a").first.inner_text(),
                        "overflows": width > options["viewport"]["width"],
                        "messages": messages,
                        "violations": [
                            f"{violation['id']}: {violation['help']}: {violation['nodes'][0]['html'][:200]}"
                            for violation in violations
                        ],
                    }
                )
                context.close()
        browser.close()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
