import sys
from pathlib import Path

import img

base = img.image(sys.argv[1] if len(sys.argv) > 1 else "busybox:1.36")
pages = img.local(Path(__file__).parent / "pages")

site = (
    base.workdir("/site")
    .copy(pages, "*.txt", to="./")
    .run('for page in *.txt; do sed "1s|.*|<h1>&</h1>|; 2,\\$s|.*|<p>&</p>|" $page > ${page%.txt}.html; done')
)
app = (
    base.copy(site, "/site/*.html", to="/www/")
    .user("1000")
    .expose(8000)
    .healthcheck("wget -qO- http://127.0.0.1:8000/index.html", interval=30)
    .cmd(["httpd", "-f", "-p", "8000", "-h", "/www"])
)
with img.start(app, tag="site:1", settings=img.environment()) as running:
    for event in running:
        if isinstance(event, img.events.StepDone):
            print(f"{event.title}: {event.seconds:.1f} s")
    print(running.result().digest)
